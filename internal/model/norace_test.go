//go:build !race

package model_test

const defaultCases = 700
