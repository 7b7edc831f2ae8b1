-- Loads data/flights.csv into the table that the other files read. seq is the place in the file, from 1.
CREATE TABLE raw (id INTEGER, ts INTEGER, delay INTEGER, dist INTEGER, origin TEXT, dest TEXT);
.mode csv
.import --skip 1 flights.csv raw
CREATE VIEW flights AS SELECT rowid AS seq, * FROM raw;
.headers on
