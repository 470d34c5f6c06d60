"""Page: one block under the microscope, from numbers to codes and bytes, and back."""
