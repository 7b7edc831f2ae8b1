//go:build race

package model_test

// defaultCases is small with the race detector, which makes everything several times slower.
const defaultCases = 60
