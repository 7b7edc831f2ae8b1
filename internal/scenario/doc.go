// Package scenario runs the scenarios of docs/semantics: one text file for each rule of docs/semantics.md, with a job, what happens to
// it, and what it must put out. It consists of tests only.
//
// Each scenario is run as it is written, and again with the job killed after each of its steps and with two subtasks: what comes
// out must be the same.
package scenario
