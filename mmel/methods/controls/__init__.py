"""Controls: maps that know nothing of the model. A method that does no better has shown nothing."""
