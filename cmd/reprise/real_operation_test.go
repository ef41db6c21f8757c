package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A node is set up by a file, a variable and flags, and says over HTTP how it is.
func TestRealMonitor(t *testing.T) {
	folder, listen, monitor := t.TempDir(), freeAddress(t), freeAddress(t)
	file := filepath.Join(folder, "node.yaml")
	settings := fmt.Sprintf("data: %s\nlisten: %s\ninit: true\nmonitor: 127.0.0.1:1\nlog-level: error\n", filepath.Join(folder, "data"), listen)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REPRISE_LOG_LEVEL", "debug")
	p := start(t, filepath.Join(folder, "log"), "serve", "--config", file, "--monitor", monitor)
	await(t, 20*time.Second, "ready", func() error { return get(monitor, "/readyz", "ok") })
	for path, part := range map[string]string{"/healthz": "ok", "/metrics": "\nreprise_node_serves 1\n"} {
		if err := get(monitor, path, part); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(p.printed(), "level=INFO") {
		t.Errorf("the level of the file goes before that of the environment:\n%s", p.printed())
	}
	taken := run(t, "", "serve", "--data", filepath.Join(folder, "other"), "--listen", freeAddress(t), "--init", "--monitor", monitor)
	wantRefused(t, taken, "serve --monitor of another node", failed, "--monitor")
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.printed())
	}
	if err := get(monitor, "/healthz", ""); err == nil {
		t.Error("the monitor outlives its node")
	}
}

// get expects a page to be there and to hold some text.
func get(address, path, part string) error {
	r, err := http.Get("http://" + address + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && (r.StatusCode != http.StatusOK || !strings.Contains("\n"+string(body), part)) {
		err = fmt.Errorf("%s: %s\n%s\nwant %q", path, r.Status, body, part)
	}
	return err
}
