// Package evolution changes jobs between a savepoint and the next start: types of state, states and operators, and what is said and done about it.
package evolution
