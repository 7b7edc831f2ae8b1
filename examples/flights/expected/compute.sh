#!/bin/sh
# Computes the expected results from the data with SQLite (3.28 or later), without any code of this project.
set -e
cd "$(dirname "$0")"
gzip -dc ../data/flights.csv.gz >flights.csv
trap 'rm -f flights.csv' EXIT
for query in hourly hubs routes board late; do
  sqlite3 -bail :memory: ".read load.sql" ".read $query.sql" | tr -d '\r' >"$query.csv"
done
wc -l *.csv
