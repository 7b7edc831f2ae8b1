// Package homeless has no floor.
package homeless // want floor
