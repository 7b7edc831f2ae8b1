-- The last hour at five hubs, every quarter of an hour: a flight counts in four windows.
SELECT origin, ts - ts % 900000 - o.k * 900000 AS window_start, ts - ts % 900000 - o.k * 900000 + 3600000 AS window_end,
       COUNT(*) AS n, SUM(delay) AS sum_delay, MAX(delay) AS max_delay
FROM flights, (SELECT 0 AS k UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) o
WHERE origin IN ('ATL', 'ORD', 'DFW', 'LAX', 'PHX')
GROUP BY origin, ts - ts % 900000 - o.k * 900000
ORDER BY origin, window_start;
