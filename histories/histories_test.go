package histories_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/histories"
)

// The example lines of the package doc are lines of the format byte for byte.
func TestDocumentedLines(t *testing.T) {
	lines := documentedLines(t)
	if len(lines) != 34 {
		t.Errorf("the package doc has %d example lines", len(lines))
	}
	for _, line := range lines {
		// In its place each would need the events before it; here the fields count.
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
	}
}
