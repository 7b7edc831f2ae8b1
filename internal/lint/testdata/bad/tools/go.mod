module example.org/bad/tools

tool github.com/forgotten/tool/cmd/tool // want dependency

tool github.com/named/tool/cmd/tool
