-- The board of the hubs, two hours after the fact: what is late is missing.
.read late_rule.sql
SELECT origin, ts - ts % 3600000 AS window_start, ts - ts % 3600000 + 3600000 AS window_end, COUNT(*) AS n, MAX(delay) AS max_delay
FROM ruled WHERE origin IN ('ATL', 'ORD', 'DFW', 'LAX', 'PHX') AND NOT is_late
GROUP BY origin, ts - ts % 3600000
ORDER BY origin, window_start;
