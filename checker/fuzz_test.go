package checker_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// Any history that can be read can be judged, twice with one result, told and
// drawn.
func FuzzCheck(f *testing.F) {
	stories, err := filepath.Glob("testdata/*.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for _, story := range stories {
		b, err := os.ReadFile(story)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := histories.Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		report := checker.Check(h, nil, checker.Options{})
		if again := checker.Check(h, nil, checker.Options{}); !reflect.DeepEqual(report, again) {
			t.Errorf("two reports of one history:\n%+v\n%+v", report, again)
		}
		var out bytes.Buffer
		if err := checker.Explain(&out, h, &report); err != nil {
			t.Error(err)
		}
		for _, p := range report.Partitions {
			if report.Anomalies != nil && report.Anomalies[0].Name == checker.MalformedHistory {
				break
			}
			if err := checker.Visualize(&out, h, checker.Key{Topic: p.Topic, Partition: p.Partition}, &report); err != nil {
				t.Error(err)
			}
		}
	})
}
