-- Departures of each airport in each hour: how many, their delay in minutes.
SELECT origin, ts - ts % 3600000 AS window_start, ts - ts % 3600000 + 3600000 AS window_end,
       COUNT(*) AS n, SUM(delay) AS sum_delay, MIN(delay) AS min_delay, MAX(delay) AS max_delay, printf('%.9g', AVG(delay)) AS avg_delay
FROM flights
GROUP BY origin, ts - ts % 3600000
ORDER BY origin, window_start;
