-- The five busiest routes of each day; of equally busy ones the first in the alphabet.
WITH counted AS (
  SELECT ts - ts % 86400000 AS window_start, origin || '-' || dest AS route, COUNT(*) AS n
  FROM flights GROUP BY ts - ts % 86400000, origin || '-' || dest),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start ORDER BY n DESC, route) AS place FROM counted)
SELECT window_start, window_start + 86400000 AS window_end, place, route, n
FROM ranked WHERE place <= 5 ORDER BY window_start, place;
