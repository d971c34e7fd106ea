"""The agent on the microscope; installs alone, without anything heavy."""
