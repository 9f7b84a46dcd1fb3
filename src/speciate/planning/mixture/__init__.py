"""How much domain text continued pretraining can take."""
