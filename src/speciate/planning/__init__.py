"""From measurements to a decision: the mixture, sealed before it is carried out and compared afterwards."""
