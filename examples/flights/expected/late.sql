-- The flights that came too late for the board.
.read late_rule.sql
SELECT id, ts, delay, dist, origin, dest
FROM ruled WHERE origin IN ('ATL', 'ORD', 'DFW', 'LAX', 'PHX') AND is_late
ORDER BY seq;
