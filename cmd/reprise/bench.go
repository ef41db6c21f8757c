package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/embed"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// maxPipeline bounds the records under way. The client has a bound of its own below it.
const maxPipeline = 1 << 16

type benchFlags struct {
	security   security
	bootstrap  []string
	dev        bool
	nodes      int
	data       string
	size       int
	partitions int32
	callers    []int
	pipeline   int
	each       time.Duration
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench (--bootstrap HOST:PORT,... | --dev)",
		Short: "Measure how fast a cluster takes records",
		Long: `Measure how fast a cluster takes records, acknowledged by a synced majority:
with a number of callers that each wait for every record, and with one caller that
does not wait (pipelined). Records do not compress.

--dev starts a cluster in this process; beside it, the speed of the disk's syncs and
of a bare synced stream (three copies, majority, no raft) is measured. A bench
makes a topic of its own and deletes it at the end.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.dev == (len(f.bootstrap) > 0) {
				return cli.Usagef("bench needs --bootstrap or --dev, and not both")
			}
			if f.size < 1 || f.size > 1<<19 || f.partitions < 1 || f.each <= 0 {
				return cli.Usagef("--size is 1 to %d bytes, and --partitions and --each are above 0", 1<<19)
			}
			if f.pipeline < 1 || f.pipeline > maxPipeline {
				return cli.Usagef("--pipeline %d: it is 1 to %d records; a client has no more under way", f.pipeline, maxPipeline)
			}
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.bootstrap, "bootstrap", nil, "nodes of the cluster to measure")
	flags.BoolVar(&f.dev, "dev", false, "measure a cluster in this process")
	flags.IntVar(&f.nodes, "nodes", 3, "with --dev: number of nodes")
	flags.StringVar(&f.data, "data", os.TempDir(), "with --dev: folder to make the data folder in; not on tmpfs")
	flags.IntVar(&f.size, "size", 1024, "bytes of a record's value")
	flags.Int32Var(&f.partitions, "partitions", 4, "partitions of the topic")
	flags.IntSliceVar(&f.callers, "callers", []int{1, 16, 64, 256}, "numbers of waiting callers to measure")
	flags.IntVar(&f.pipeline, "pipeline", 8192, "records under way at once, pipelined")
	flags.DurationVar(&f.each, "each", 10*time.Second, "how long to measure each")
	f.security.register(cmd)
	return cmd
}

// bench is one run of the command.
type bench struct {
	benchFlags
	out     io.Writer
	client  *client.Client
	cluster *embed.Cluster // nil without --dev
	topic   string
	value   []byte
}

func (f benchFlags) run(ctx context.Context, out io.Writer) (err error) {
	b := &bench{benchFlags: f, out: out, topic: "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36), value: make([]byte, f.size)}
	_, _ = rand.Read(b.value) // never fails
	if f.dev {
		if err := b.startDev(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.cluster.Close()) }()
	}
	credentials, err := b.security.credentials()
	if err != nil {
		return err
	}
	b.client, err = client.New(client.Config{Bootstrap: b.bootstrap, Credentials: credentials})
	if err != nil {
		return err
	}
	defer b.client.Close(context.WithoutCancel(ctx))
	if err := b.client.CreateTopic(ctx, b.topic, client.TopicOptions{Partitions: b.partitions}); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.client.DeleteTopic(context.WithoutCancel(ctx), b.topic))
	}()
	return b.measureAll(ctx)
}

func (b *bench) startDev() error {
	fs, err := osenv.FileSystem(b.data)
	if err != nil {
		return err
	}
	if fs == "tmpfs" || fs == "ramfs" {
		return fmt.Errorf("%s is on %s, where a sync does nothing: name a folder on a disk with --data", b.data, fs)
	}
	b.cluster, err = startCluster(b.nodes, slog.New(slog.DiscardHandler), b.data)
	if err != nil {
		return err
	}
	b.bootstrap = b.cluster.Bootstrap()
	fmt.Fprintf(b.out, "%d nodes in this process, data in %s on %s\n", b.nodes, b.cluster.Data(), fs)
	return nil
}

func (b *bench) measureAll(ctx context.Context) error {
	fmt.Fprintf(b.out, "%d-byte records, %d partitions, acks=all, synced on a majority\n\n", b.size, b.partitions)
	table := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "callers\trecords/s\tMiB/s\tp50 ms\tp95 ms\tp99 ms\tmax ms\trecords/batch\tsyncs/s\t")
	var best, perBatch float64
	for _, callers := range b.callers {
		row, err := b.measure(ctx, func(ctx context.Context, r *results) { b.blocking(ctx, callers, r) })
		if err != nil {
			return err
		}
		row.print(table, strconv.Itoa(callers))
	}
	row, err := b.measure(ctx, b.pipelined)
	if err != nil {
		return err
	}
	row.print(table, "pipelined")
	best, perBatch = row.rate, row.perBatch
	if err := table.Flush(); err != nil || b.cluster == nil {
		return err
	}
	return b.compare(best, perBatch)
}

// compare measures what the machine could do without a broker.
func (b *bench) compare(best, perBatch float64) error {
	folder, err := osenv.OpenFolder(filepath.Join(b.cluster.Data(), "bare"))
	if err != nil {
		return err
	}
	defer folder.Close()
	syncs, err := syncRate(folder, 2*time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\nfdatasync of 4 KiB in a zero-filled file there: %.0f/s\n", syncs)
	bare, err := bareStream(folder, b.size, max(int(perBatch), 1), b.each)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "bare synced stream, 3 copies, batches of %d: %.0f records/s; pipelined is %.2f of it\n", max(int(perBatch), 1), bare, best/bare)
	return nil
}

// results gathers the latencies of one measurement.
type results struct {
	mu        sync.Mutex
	latencies []time.Duration
	failed    atomic.Pointer[error]
}

func (r *results) add(latency time.Duration) {
	r.mu.Lock()
	r.latencies = append(r.latencies, latency)
	r.mu.Unlock()
}

func (r *results) fail(err error) { r.failed.CompareAndSwap(nil, &err) }

type row struct {
	rate, mib, perBatch, syncs float64
	latencies                  []time.Duration
}

// measure runs a load for the time asked for.
func (b *bench) measure(ctx context.Context, load func(context.Context, *results)) (row, error) {
	before, err := b.entries(ctx)
	if err != nil {
		return row{}, err
	}
	var r results
	syncs, begun := b.syncs(), time.Now()
	load(ctx, &r)
	took := time.Since(begun).Seconds()
	if err := r.failed.Load(); err != nil {
		return row{}, *err
	}
	after, err := b.entries(ctx)
	if err != nil {
		return row{}, err
	}
	slices.Sort(r.latencies)
	n := float64(len(r.latencies))
	return row{
		rate: n / took, mib: n * float64(b.size) / took / (1 << 20), perBatch: n / max(after-before, 1),
		syncs: float64(b.syncs()-syncs) / took, latencies: r.latencies,
	}, nil
}

// blocking has callers produce and wait until the time is up.
func (b *bench) blocking(ctx context.Context, callers int, r *results) {
	var wg sync.WaitGroup
	end := time.Now().Add(b.each)
	for caller := range callers {
		wg.Go(func() {
			for i := caller; time.Now().Before(end) && ctx.Err() == nil; i++ {
				begun := time.Now()
				if _, err := b.client.Produce(ctx, b.topic, int32(i)%b.partitions, client.Record{Value: b.value}); err != nil {
					r.fail(err)
					return
				}
				r.add(time.Since(begun))
			}
		})
	}
	wg.Wait()
}

// pipelined has one caller produce without waiting, up to a bound under way.
func (b *bench) pipelined(ctx context.Context, r *results) {
	type sent struct {
		at time.Time
		*client.Produced
	}
	underWay := make(chan sent, b.pipeline)
	var wg sync.WaitGroup
	wg.Go(func() {
		for p := range underWay {
			if _, err := p.Wait(ctx); err != nil {
				r.fail(err)
				continue
			}
			r.add(time.Since(p.at))
		}
	})
	end := time.Now().Add(b.each)
	for i := int32(0); time.Now().Before(end) && ctx.Err() == nil && r.failed.Load() == nil; i++ {
		underWay <- sent{time.Now(), b.client.ProduceAsync(ctx, client.Idempotent, b.topic, i%b.partitions, client.Record{Value: b.value})}
	}
	close(underWay)
	wg.Wait()
}

// entries counts the log entries of the topic's partitions, which are its batches
// but for a few.
func (b *bench) entries(ctx context.Context) (float64, error) {
	m, err := b.client.Metadata(ctx, b.topic)
	if err != nil {
		return 0, err
	}
	groups := make(map[uint64]bool)
	for _, p := range m.Topics[0].Partitions {
		groups[p.Group] = true
	}
	last := make(map[uint64]uint64)
	for _, node := range m.Nodes {
		d, err := b.client.DescribeNode(ctx, node.Address)
		if err != nil {
			return 0, err
		}
		for _, g := range d.Groups {
			if groups[g.Group] {
				last[g.Group] = max(last[g.Group], g.Applied)
			}
		}
	}
	var sum float64
	for _, applied := range last {
		sum += float64(applied)
	}
	return sum, nil
}

func (b *bench) syncs() (n uint64) {
	if b.cluster != nil {
		for _, node := range b.cluster.Nodes() {
			n += node.Syncs()
		}
	}
	return n
}

func (r row) print(w io.Writer, name string) {
	at := func(per1000 int) float64 {
		if len(r.latencies) == 0 {
			return 0
		}
		return float64(r.latencies[min(len(r.latencies)*per1000/1000, len(r.latencies)-1)].Microseconds()) / 1000
	}
	fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%.0f\t\n",
		name, r.rate, r.mib, at(500), at(950), at(990), at(1000), r.perBatch, r.syncs)
}
