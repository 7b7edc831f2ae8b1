module github.com/millrace-stream/millrace

go 1.27.0

require (
	github.com/klauspost/compress v1.20.3 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
