#!/bin/sh
# Computes the expected results for the sample beside the flights example with SQLite, without any code of this project.
set -e
cd "$(dirname "$0")"
sample=../../../../examples/flights
gzip -dc $sample/data/flights.csv.gz >flights.csv
trap 'rm -f flights.csv' EXIT
for query in sessions late; do
  sqlite3 -bail :memory: ".read $sample/expected/load.sql" ".read $query.sql" | tr -d '\r' >"$query.csv"
done
wc -l *.csv
