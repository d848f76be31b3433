"""Files of dates, tables and calendars, read into rows. What then becomes of the rows is decided elsewhere."""
