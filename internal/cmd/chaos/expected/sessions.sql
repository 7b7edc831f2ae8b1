-- Sessions of an airport: departures that are not more than an hour apart.
WITH a AS (
  SELECT *, CASE WHEN ts - LAG(ts) OVER (PARTITION BY origin ORDER BY ts, seq) <= 3600000 THEN 0 ELSE 1 END AS begins FROM flights),
b AS (
  SELECT *, SUM(begins) OVER (PARTITION BY origin ORDER BY ts, seq ROWS UNBOUNDED PRECEDING) AS session FROM a)
SELECT origin, MIN(ts) AS session_start, MAX(ts) + 3600000 AS session_end, COUNT(*) AS n, SUM(dist) AS sum_dist, MAX(delay) AS max_delay
FROM b GROUP BY origin, session ORDER BY origin, session_start;
