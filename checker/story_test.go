package checker_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

var rewrite = flag.Bool("rewrite", false, "write the stories' expected texts anew")

// Each story in testdata is a history (.jsonl) and what the checker has to say of
// it (.txt).
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(stories) == 0 {
		t.Fatal("no stories", err)
	}
	for _, story := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(story), ".jsonl"), func(t *testing.T) {
			f, err := os.Open(story)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			h, err := histories.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			report := checker.Check(h, nil, checker.Options{Thresholds: checker.Thresholds{FinalRead: true}})
			var got bytes.Buffer
			if err := checker.Explain(&got, h, &report); err != nil {
				t.Fatal(err)
			}
			compare(t, strings.TrimSuffix(story, ".jsonl")+".txt", got.Bytes())
		})
	}
}

// compare holds a text to what a file has, or writes the file.
func compare(t *testing.T, file string, got []byte) {
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -rewrite after reading it)\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}
