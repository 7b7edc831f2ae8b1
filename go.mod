module github.com/millrace-stream/millrace

go 1.27.0

require pgregory.net/rapid v1.3.0
