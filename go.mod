module github.com/millrace-stream/millrace

go 1.27.0
