module example.org/bad

go 1.27.0

require github.com/named/thing v1.0.0

require (
	github.com/forgotten/thing v1.2.3 // want dependency
	github.com/other/thing v1.2.3 // indirect
)
