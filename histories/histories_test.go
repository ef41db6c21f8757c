package histories_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/histories"
)

// The example lines of the package doc, read out of it, are lines of the format
// byte for byte.
func TestDocumentedLines(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, line := range strings.Split(string(doc), "\n") {
		line, ok := strings.CutPrefix(line, "//\t{")
		if !ok {
			continue
		}
		line = "{" + line
		// Read on its own, every line needs index 0 and an open operation; so only
		// the fields are read here.
		e, err := histories.ParseLine([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var out bytes.Buffer
		w := histories.NewWriter(&out)
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(out.String(), "\n"); got != line {
			t.Errorf("documented: %s\nwritten:    %s", line, got)
		}
		read++
	}
	if read != 19 {
		t.Errorf("the package doc has %d example lines", read)
	}
}
