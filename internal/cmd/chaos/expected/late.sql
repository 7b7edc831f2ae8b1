-- Hours of all airports with a watermark half an hour behind: what counts, and what came too late. The watermark before a
-- row is the largest time of the rows above it, minus half an hour, minus one tick.
WITH w AS (
  SELECT *, MAX(ts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - 1800000 - 1 AS watermark FROM flights),
x AS (
  SELECT *, watermark IS NOT NULL AND ts - ts % 3600000 + 3600000 - 1 <= watermark AS is_late FROM w)
SELECT ts - ts % 3600000 AS window_start, ts - ts % 3600000 + 3600000 AS window_end,
       SUM(NOT is_late) AS kept, SUM(is_late) AS dropped_late, SUM(CASE WHEN is_late THEN 0 ELSE delay END) AS kept_sum_delay
FROM x GROUP BY ts - ts % 3600000 ORDER BY window_start;
