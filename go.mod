module github.com/millrace-stream/millrace

go 1.27.0

require (
	github.com/klauspost/compress v1.20.3
	pgregory.net/rapid v1.3.0
)
