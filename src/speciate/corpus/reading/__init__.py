"""Files, folders and data sets to documents; what cannot be read is kept aside with its reason."""
