"""The texts of a topic: graded samples, a model of the grades, a threshold or a budget."""
