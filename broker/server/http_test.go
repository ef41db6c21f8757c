package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/server"
)

// lines is a log to read in.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// watched is the only node of a cluster, and what it says to whoever operates it.
type watched struct {
	t   *testing.T
	s   *server.Server
	log lines
}

func watch(t *testing.T, slow time.Duration) *watched {
	w := &watched{t: t}
	node := server.NodeConfig("v1")
	node.JournalFileBytes, node.Init = 1<<20, true
	s, err := server.Start(server.Config{
		Node: node, Data: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(&w.log, nil)), Slow: slow,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	t.Cleanup(s.Kill)
	return w
}

func (w *watched) get(path string) (status int, body string) {
	r := httptest.NewRecorder()
	w.s.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r.Code, r.Body.String()
}

func (w *watched) want(metrics ...string) {
	w.t.Helper()
	_, body := w.get("/metrics")
	for _, m := range metrics {
		if !strings.Contains("\n"+body, "\n"+m) {
			w.t.Errorf("there is no metric %q in\n%s", m, body)
		}
	}
}

func (w *watched) use(records int) {
	w.t.Helper()
	c, err := client.New(client.Config{Bootstrap: []string{w.s.Address()}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close(w.t.Context())
	if err := c.CreateTopic(w.t.Context(), "orders", client.TopicOptions{Partitions: 2}); err != nil {
		w.t.Fatal(err)
	}
	for i := range records {
		if _, err := c.Produce(w.t.Context(), "orders", 1, client.Record{Value: fmt.Append(nil, i)}); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := c.Produce(w.t.Context(), "none", 0, client.Record{}); err == nil {
		w.t.Error("a topic that is not there takes a record")
	}
}

// The metrics tell what a node has done and has.
func TestMetrics(t *testing.T) {
	w := watch(t, 0)
	w.use(7)
	w.want(
		`reprise_node_serves 1`,
		`reprise_requests_total{code="OK",request="produce"} 7`,
		`reprise_requests_total{code="UNKNOWN_TOPIC_OR_PARTITION",request="metadata"} `,
		`reprise_request_duration_seconds_count{request="produce"} `,
		`reprise_disk_sync_duration_seconds_count `,
		`reprise_events_total{event="became leader"} 3`, // of meta and two partitions
		`reprise_partition_leader{partition="1",topic="orders"} 1`,
		`reprise_partition_log_end_offset{partition="0",topic="orders"} 0`,
		`reprise_partition_log_end_offset{partition="1",topic="orders"} 7`,
		`reprise_partition_log_start_offset{partition="1",topic="orders"} 0`,
		`reprise_partition_unapplied_entries{partition="1",topic="orders"} 0`,
		`reprise_partition_follower_lag_entries{partition="1",topic="orders"} 0`,
		`reprise_partition_restoring{partition="1",topic="orders"} 0`,
		`go_goroutines `,
	)
	w.want(fmt.Sprintf(`reprise_node_info{cluster=%q,node="1",version="v1"} 1`, w.cluster()))
	if w.log.has("slow request") {
		t.Error("a request is logged as slow, though none was to be")
	}
}

// The metrics tell of the consumer groups that the node coordinates.
func TestGroupMetrics(t *testing.T) {
	w := watch(t, 0)
	w.use(7)
	w.want(`reprise_groups{state="empty"} 0`, `reprise_groups{state="stable"} 0`, `reprise_groups{state="rebalancing"} 0`)
	c, err := client.New(client.Config{Bootstrap: []string{w.s.Address()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	s, err := c.Subscribe(t.Context(), client.SubscribeOptions{Group: "billing", Topics: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.Poll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := []core.CommitPosition{{TopicPartition: records[0].TopicPartition, Offset: 3}}
	if err := s.CommitOffsets(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	w.want(
		`reprise_groups{state="empty"} 0`, `reprise_groups{state="stable"} 1`,
		`reprise_group_members{group="billing"} 1`,
		`reprise_group_generation{group="billing"} `,
		`reprise_group_lag_records{group="billing"} 4`, // of 7, and nothing is in the other partition
		`reprise_group_lag_unknown_partitions{group="billing"} 0`,
	)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(`reprise_groups{state="empty"} 1`, `reprise_groups{state="stable"} 0`, `reprise_group_members{group="billing"} 0`,
		`reprise_group_lag_records{group="billing"} 4`)
}

// cluster is the cluster's name, out of the log.
func (w *watched) cluster() string {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	_, after, _ := strings.Cut(w.log.text.String(), "node 1 of cluster ")
	name, _, _ := strings.Cut(after, `"`)
	return name
}

// A node that serves is healthy and ready; one that has stopped is neither, and says so.
func TestHealth(t *testing.T) {
	w := watch(t, 0)
	w.use(1)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := w.get(path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s of a node that serves: %d %s", path, status, body)
		}
	}
	w.s.Kill()
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := w.get(path); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopped") {
			t.Errorf("%s of a node that was stopped: %d %s", path, status, body)
		}
	}
	w.want(`reprise_node_serves 0`)
}

// A node that waits for its cluster is alive, and not ready.
func TestNotReady(t *testing.T) {
	node := server.NodeConfig("v1")
	node.JournalFileBytes = 1 << 20
	node.Join = append(node.Join, "127.0.0.1:1")
	w := &watched{t: t}
	s, err := server.Start(server.Config{Node: node, Data: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	w.s = s
	if status, body := w.get("/healthz"); status != http.StatusOK {
		t.Errorf("a node that waits to join is not alive: %s", body)
	}
	if status, body := w.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "join") {
		t.Errorf("a node that waits to join says of itself: %d %s", status, body)
	}
	w.want(`reprise_node_serves 0`)
}

// A node that reaches no leader of the meta group serves nobody.
func TestNotReadyAlone(t *testing.T) {
	w := watch(t, 0)
	w.use(1)
	node := server.NodeConfig("v1")
	node.JournalFileBytes = 1 << 20
	node.Join = append(node.Join, env.Endpoint(w.s.Address()))
	second, err := server.Start(server.Config{Node: node, Data: t.TempDir(), Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Kill)
	other := &watched{t: t, s: second}
	await := func(of *watched, want int) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			status, body := of.get("/readyz")
			if status == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz is %d %s, want %d", status, body, want)
			}
		}
	}
	await(other, http.StatusOK)
	w.s.Kill()
	await(other, http.StatusServiceUnavailable)
	if status, _ := other.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz of a node that is alone is %d", status)
	}
}

// What takes longer than it may is logged, with what to find it by. What a fetch asked to
// wait is not slow.
func TestSlowRequests(t *testing.T) {
	w := watch(t, time.Nanosecond)
	w.use(1)
	for _, part := range []string{"slow request", "request=produce", "client=client/", "id=", "took=", "code=OK"} {
		if !w.log.has(part) {
			t.Errorf("there is no %q in the log", part)
		}
	}
	w = watch(t, time.Second)
	w.use(0)
	c, err := client.New(client.Config{Bootstrap: []string{w.s.Address()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	begun := time.Now()
	if _, err := c.Fetch(t.Context(), "orders", 0, 0, client.FetchOptions{MaxWait: 1500 * time.Millisecond}); err != nil || time.Since(begun) < time.Second {
		t.Fatalf("a fetch of an empty partition that may wait ends after %v: %v", time.Since(begun), err)
	}
	if w.log.has("slow request") {
		t.Error("a fetch that waits as long as it asked to is logged as slow")
	}
}
