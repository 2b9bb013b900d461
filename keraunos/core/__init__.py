"""The ground floor: state, graph, constructors, names. No tensor operation is known here."""
