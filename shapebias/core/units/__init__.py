"""The unit table: columns, sorting, the filter language, export, and the marks that users set."""
