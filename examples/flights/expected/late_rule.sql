-- Which flights come too late for the board. The watermark before a row is the largest time of the rows above it, minus
-- two hours, minus one tick; the row is late when its window, an hour of the clock, has fired by then.
CREATE VIEW ruled AS
WITH w AS (
  SELECT *, MAX(ts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - 7200000 - 1 AS watermark FROM flights)
SELECT w.*, watermark IS NOT NULL AND ts - ts % 3600000 + 3600000 - 1 <= watermark AS is_late FROM w;
