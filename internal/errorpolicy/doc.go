// Package errorpolicy tests what a job does with records that fail, and with functions, sinks and whole jobs that do: by the public API. It consists of
// tests only.
package errorpolicy
