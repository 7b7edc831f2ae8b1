-- The expected results in flights.csv, computed by PostgreSQL 15 from flights_2001_01.csv:
--   create table flights (id int, ts bigint, delay int, dist int, origin text, dest text);
-- "first" and "last" are flights by departure; ties go to the smallest id. Times are milliseconds.
select origin,
       count(*) as n,
       (array_agg(id order by ts, id))[1] as first,
       (array_agg(id order by ts desc, id))[1] as last,
       var_samp(delay) as var_samp,
       var_pop(delay) as var_pop,
       stddev_samp(delay * float8 '0.1') as stddev_tenth,
       percentile_cont(array[0, 0.01, 0.25, 0.5, 0.9, 0.99, 1]) within group (order by delay) as quantiles,
       count(*) filter (where width_bucket(delay, array[-10, 0, 15, 60]) = 0) as early,
       count(*) filter (where width_bucket(delay, array[-10, 0, 15, 60]) = 1) as early_10,
       count(*) filter (where width_bucket(delay, array[-10, 0, 15, 60]) = 2) as late_15,
       count(*) filter (where width_bucket(delay, array[-10, 0, 15, 60]) = 3) as late_60,
       count(*) filter (where width_bucket(delay, array[-10, 0, 15, 60]) = 4) as very_late,
       count(distinct delay) as delays,
       count(distinct ts) as times,
       count(distinct (dest, delay)) as dest_delays
from flights group by origin order by origin collate "C";
