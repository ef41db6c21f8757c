package main_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

const payloadBytes = 128

// recording is one history of all clients of a test, with one clock.
type recording struct {
	// begun is when the history's time began.
	begun   histories.Time
	events  histories.History
	history *client.History
	// elsewhere are the histories of clients in processes of their own, by the same clock.
	elsewhere []*histories.History
	// final marks the reads that follow as the full read at the end.
	final atomic.Bool
}

func newRecording() *recording {
	r := &recording{begun: machineTime()}
	r.history = client.NewHistory(func(e histories.Event) {
		reads := e.Op == histories.Fetch || e.Op == histories.ListOffsets
		if e.Kind == histories.Invoke && reads && r.final.Load() {
			e.Call.Final = true
		}
		e.Time = machineTime() - r.begun
		r.events.Append(e)
	})
	return r
}

func (r *recording) fault(name string, n *node) {
	r.history.Note(histories.Note{Op: histories.Fault, Name: name, Target: fmt.Sprintf("node %d", n.id)})
}

// judge writes the history as JSON Lines and has the checker judge what it reads
// again, then `reprise-sim check`. No client may be at work.
func (r *recording) judge(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.ArtifactDir(), "history.jsonl")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h, err := histories.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	report := checker.Check(h, nil, checker.Options{Thresholds: checker.Thresholds{
		Operations: 1500, Acknowledged: 500, FinalRead: true,
	}})
	t.Logf("checker: %s in %v: %+v", report.Verdict, time.Since(begun).Round(time.Millisecond), report.Counts)
	if len(report.Groups) > 0 {
		var all checker.GroupReport
		for _, g := range report.Groups {
			all.Commits, all.Reads, all.Spells, all.Handed = all.Commits+g.Commits, all.Reads+g.Reads, all.Spells+g.Spells, all.Handed+g.Handed
		}
		t.Logf("groups in %d partitions: %d commits, %d reads of offsets, %d spells of members, %d records handed out",
			len(report.Groups), all.Commits, all.Reads, all.Spells, all.Handed)
	}
	if report.Verdict != checker.Pass {
		t.Errorf("verdict %s: %q", report.Verdict, report.Reasons)
		for _, a := range report.Anomalies[:min(len(report.Anomalies), 10)] {
			t.Errorf("%s at %s/%d: %s", a.Name, a.Topic, a.Partition, a.Message)
		}
	}
	if out := runTo(t, exec.Command(binary(t, laboratory), "check", path), ""); out.code != 0 {
		t.Errorf("reprise-sim check: exit code %d\n%s%s", out.code, out.output, out.errors)
	}
}

func (r *recording) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(merge(append(r.elsewhere, &r.events)).Write(file), file.Close())
}

// merge makes one history of those of several processes of one machine, by their times.
func merge(parts []*histories.History) *histories.History {
	all, last := &histories.History{}, histories.Process(0)
	for _, part := range parts {
		first := last
		for _, e := range part.Events {
			if e.Process >= 0 {
				e.Process += first
				last = max(last, e.Process+1)
			}
			all.Append(e)
		}
	}
	slices.SortStableFunc(all.Events, func(a, b histories.Event) int { return cmp.Compare(a.Time, b.Time) })
	for i := range all.Events {
		all.Events[i].Index = histories.Index(i)
	}
	return all
}

// machineTime is a clock that all processes of the machine share and that never goes back.
func machineTime() histories.Time {
	const monotonic = 1 // CLOCK_MONOTONIC
	var now syscall.Timespec
	if _, _, e := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&now)), 0); e != 0 {
		panic(e)
	}
	return histories.Time(now.Nano())
}

// ack is a record that a producer was told is in the log.
type ack struct {
	partition int
	offset    int64
	value     histories.Value
}

// load is producers that append without end, each to one partition, and a reader
// of each partition.
type load struct {
	t        *testing.T
	plan     loadPlan
	pulses   []*pulse // by partition
	value    atomic.Int64
	unknown  atomic.Int64
	acked    [][]ack // by producer; for use after stop
	stopping context.CancelFunc
	ended    sync.WaitGroup
}

// loadPlan is how much a load does.
type loadPlan struct {
	topic                 string
	producers, partitions int
	// period of each producer's operations, at least.
	period time.Duration
	// read: each partition has a reader.
	read bool
}

// startLoad has one client for each producer, and one for the readers.
func startLoad(c *cluster, r *recording, plan loadPlan) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: c.t, plan: plan, acked: make([][]ack, plan.producers), stopping: stop}
	c.t.Cleanup(l.stop)
	for range plan.partitions {
		l.pulses = append(l.pulses, newPulse())
	}
	for i := range plan.producers {
		cl := c.newClient(client.Config{History: r.history})
		l.ended.Go(func() { l.produce(ctx, cl, i) })
	}
	if plan.read {
		readers := c.newClient(client.Config{History: r.history})
		for i := range plan.partitions {
			l.ended.Go(func() { l.read(ctx, readers.Consume(plan.topic, int32(i), client.Earliest)) })
		}
	}
	return l
}

func (l *load) produce(ctx context.Context, cl *client.Client, producer int) {
	partition := producer % len(l.pulses)
	ticker := time.NewTicker(l.plan.period)
	defer ticker.Stop()
	for ctx.Err() == nil {
		value := histories.Value(l.value.Add(1))
		begun := l.pulses[partition].begin()
		// Not bounded by ctx: at the end every record is to have its answer.
		offset, err := cl.Produce(context.Background(), l.plan.topic, int32(partition),
			client.Record{Value: histories.Payload(value, payloadBytes)})
		l.pulses[partition].end(begun, err == nil)
		var e *client.Error
		switch {
		case err == nil:
			l.acked[producer] = append(l.acked[producer], ack{partition, offset, value})
		case errors.Is(err, client.ErrClosed):
			return // the test has failed
		case errors.As(err, &e) && e.Definite:
			l.t.Errorf("producer %d: refused: %v", producer, err)
		default:
			l.unknown.Add(1)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (l *load) read(ctx context.Context, consumer *client.Consumer) {
	for ctx.Err() == nil {
		// What goes wrong is tried again; what is wrong is the checker's to say.
		_, _ = consumer.Next(ctx)
	}
}

// stop ends the load and waits for every answer.
func (l *load) stop() {
	l.stopping()
	l.ended.Wait()
}

// awaitPulse waits until every partition has acknowledged what was asked for after
// a moment.
func (l *load) awaitPulse(since time.Time) {
	l.t.Helper()
	await(l.t, settleTime, "acknowledgements on every partition", func() error {
		for i, p := range l.pulses {
			if !p.beats(since) {
				return fmt.Errorf("none on partition %d", i)
			}
		}
		return nil
	})
}

// inFlight waits for a moment at which a partition has operations under way.
func (l *load) inFlight(partition int) int {
	l.t.Helper()
	for limit := time.Now().Add(settleTime); time.Now().Before(limit); {
		if n := l.pulses[partition].flying(); n > 0 {
			return n
		}
	}
	l.t.Fatalf("nothing is under way on partition %d", partition)
	return 0
}

// mark begins to measure gaps anew, and gaps gives the longest since, by partition.
func (l *load) mark() {
	for _, p := range l.pulses {
		p.mark()
	}
}

func (l *load) gaps() gaps {
	var list gaps
	for _, p := range l.pulses {
		list = append(list, p.gap())
	}
	return list
}

// gaps are times without an acknowledgement, by partition.
type gaps []time.Duration

func (g gaps) longest() time.Duration { return slices.Max(g) }

func (g gaps) String() string {
	var words []string
	for _, gap := range g {
		words = append(words, fmt.Sprintf("%4d", gap.Milliseconds()))
	}
	return strings.Join(words, " ") + " ms"
}

// pulse is the acknowledgements of one partition.
type pulse struct {
	mu sync.Mutex
	// last acknowledgement, and when the newest acknowledged operation began.
	last, begun time.Time
	longest     time.Duration
	underWay    int
}

func newPulse() *pulse { return &pulse{last: time.Now()} }

func (p *pulse) begin() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay++
	return time.Now()
}

func (p *pulse) end(begun time.Time, acknowledged bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.underWay--
	if !acknowledged {
		return
	}
	now := time.Now()
	p.longest = max(p.longest, now.Sub(p.last))
	p.last = now
	if begun.After(p.begun) {
		p.begun = begun
	}
}

func (p *pulse) flying() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.underWay
}

func (p *pulse) beats(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun.After(since)
}

func (p *pulse) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = 0
}

func (p *pulse) gap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest, time.Since(p.last))
}

// readAll reads a partition from its start to its end.
func readAll(t *testing.T, cl *client.Client, topic string, partition int) []histories.Record {
	t.Helper()
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	next, err := cl.ListOffsets(ctx, topic, int32(partition), api.OffsetSpec_EARLIEST)
	if err != nil {
		t.Fatal(err)
	}
	var list []histories.Record
	for {
		got, err := cl.Fetch(ctx, topic, int32(partition), next, client.FetchOptions{MaxBytes: math.MaxInt32})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			return list
		}
		for _, m := range got.Messages {
			list = append(list, histories.ParsePayload(m.Offset, m.Value))
		}
		next = int64(list[len(list)-1].Offset) + 1
	}
}

// holds compares a log with what producers were told: each acknowledged record is
// there once, at its offset, and each producer's are in its order.
func (l *load) holds(partition int, log []histories.Record) error {
	at := make(map[histories.Value]api.Offset, len(log))
	for i, r := range log {
		if r.Corrupt || r.Offset != api.Offset(i) {
			return fmt.Errorf("place %d has %+v", i, r)
		}
		if first, twice := at[r.Value]; twice {
			return fmt.Errorf("value %d stands at offsets %d and %d", r.Value, first, r.Offset)
		}
		at[r.Value] = r.Offset
	}
	for producer, list := range l.acked {
		before := int64(-1)
		for _, a := range list {
			if a.partition != partition {
				continue
			}
			offset, ok := at[a.value]
			if !ok || int64(offset) != a.offset {
				return fmt.Errorf("producer %d was told that value %d is at offset %d; the log has it at %d (%t)", producer, a.value, a.offset, offset, ok)
			}
			if a.offset <= before {
				return fmt.Errorf("producer %d: value %d at offset %d comes after offset %d", producer, a.value, a.offset, before)
			}
			before = a.offset
		}
	}
	return nil
}
