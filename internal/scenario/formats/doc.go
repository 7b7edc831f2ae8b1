// Package formats restores, with the code of today, what earlier releases of the formats on storage have written: each directory of testdata is
// a savepoint and a directory of checkpoints as one version of docs/format has them. They are never changed.
package formats
