"""The step, the program that runs it many times, and the loop of epochs around it."""
