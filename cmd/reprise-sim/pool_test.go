package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whoever waits for a child is told within the time allowed, whatever the child does: also
// if it neither answers as it should nor ends.
func TestChildrenAreNotWaitedFor(t *testing.T) {
	for name, c := range map[string]struct{ script, verdict, says string }{
		"says nonsense": {"read task; echo hello; exec sleep 60", "crash", "hello"},
		"says nothing":  {"read task; exec sleep 60", "hang", "did not end"},
		"ends":          {"read task; echo why >&2", "crash", "why"},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "simulator")
			if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := &slot{program: program}
			defer s.end()
			began := time.Now()
			o, err := s.do(t.Context(), task{Seed: 1}, 2*time.Second)
			if err != nil || len(o.Anomalies) != 1 || o.Anomalies[0] != c.verdict || !strings.Contains(o.Witness, c.says) {
				t.Errorf("%+v, %v; want %s, %q", o, err, c.verdict, c.says)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
