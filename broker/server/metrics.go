package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/trace"
)

// metrics count what a node does, in Prometheus' terms. What the node has is asked of it
// whenever somebody reads them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	syncs    prometheus.Histogram
	events   *prometheus.CounterVec
}

// seconds are buckets from a quarter of a millisecond to 8 s: a sync takes the first,
// a change of leader the last.
var seconds = prometheus.ExponentialBuckets(0.00025, 2, 16)

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_requests_total", Help: "Requests of clients that were answered, by kind and code of the answer.",
		}, []string{"request", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "reprise_request_duration_seconds", Buckets: seconds,
			Help: "Time from the arrival of a client's request to its answer, by kind. A fetch may have asked to wait.",
		}, []string{"request"}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reprise_disk_sync_duration_seconds", Buckets: seconds, Help: "Time that the disk takes for a sync of a file or folder.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reprise_events_total", Help: "Events of the node, by name: those of its log, and rare paths taken.",
		}, []string{"event"}),
	}
	m.registry.MustRegister(m.requests, m.took, m.syncs, m.events, &nodeCollector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) answered(a rpc.Answered) {
	m.requests.WithLabelValues(a.Kind, a.Code.String()).Inc()
	m.took.WithLabelValues(a.Kind).Observe(a.Took.Seconds())
}

func (m *metrics) count(sink trace.Sink) trace.Sink {
	return func(e trace.Event) {
		m.events.WithLabelValues(e.Name).Inc()
		sink(e)
	}
}

// What a nodeCollector gives.
var (
	servesDesc = prometheus.NewDesc("reprise_node_serves", "1 once the node has recovered, or joined, and serves.", nil, nil)
	infoDesc   = prometheus.NewDesc("reprise_node_info", "1; the labels say which node of which cluster this is.", []string{"version", "cluster", "node"}, nil)
	freeDesc   = prometheus.NewDesc("reprise_disk_free_bytes", "Room on the disk of the node's data.", nil, nil)

	perPartition  = []string{"topic", "partition"}
	leaderDesc    = prometheus.NewDesc("reprise_partition_leader", "1 where this node leads the partition, 0 where it follows.", perPartition, nil)
	restoringDesc = prometheus.NewDesc("reprise_partition_restoring", "1 while the partition's damaged log is restored from other replicas.", perPartition, nil)
	startDesc     = prometheus.NewDesc("reprise_partition_log_start_offset", "First offset of the partition.", perPartition, nil)
	endDesc       = prometheus.NewDesc("reprise_partition_log_end_offset", "Offset of the partition's next record, as this replica knows it.", perPartition, nil)
	unappliedDesc = prometheus.NewDesc("reprise_partition_unapplied_entries", "Log entries that are committed and not applied on this node.", perPartition, nil)
	followersDesc = prometheus.NewDesc("reprise_partition_follower_lag_entries", "Committed log entries that the slowest follower lacks; on the leader only.", perPartition, nil)

	perGroup        = []string{"group"}
	groupsDesc      = prometheus.NewDesc("reprise_groups", "Consumer groups that this node coordinates, by state.", []string{"state"}, nil)
	membersDesc     = prometheus.NewDesc("reprise_group_members", "Members of the consumer group; on its coordinator only, as all of a group.", perGroup, nil)
	generationDesc  = prometheus.NewDesc("reprise_group_generation", "Generation of the consumer group: each change of who is to own what begins one.", perGroup, nil)
	groupLagDesc    = prometheus.NewDesc("reprise_group_lag_records", "Records that the group has not committed yet, of the partitions where it has committed and this node has a replica.", perGroup, nil)
	groupUnseenDesc = prometheus.NewDesc("reprise_group_lag_unknown_partitions", "Partitions where the group has committed and this node has no replica, so that their lag is not counted.", perGroup, nil)
)

// maxGroups bounds the consumer groups that have series of their own: the first that the node
// lists. All are counted.
const maxGroups = 1000

// nodeCollector asks the node what it has.
type nodeCollector struct{ server *Server }

// Describe is prometheus.Collector.
func (c *nodeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		servesDesc, infoDesc, freeDesc, leaderDesc, restoringDesc, startDesc, endDesc, unappliedDesc, followersDesc,
		groupsDesc, membersDesc, generationDesc, groupLagDesc, groupUnseenDesc,
	} {
		out <- d
	}
}

// Collect is prometheus.Collector.
func (c *nodeCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	v := c.server.view()
	gauge(servesDesc, truth(v.serves))
	gauge(infoDesc, 1, c.server.version, v.cluster, v.node)
	gauge(freeDesc, float64(c.server.disk.Free()))
	for _, p := range v.partitions {
		at := []string{p.Topic, strconv.Itoa(int(p.Partition))}
		gauge(leaderDesc, truth(p.Leads), at...)
		gauge(restoringDesc, truth(p.Restoring), at...)
		if p.Restoring {
			continue
		}
		gauge(startDesc, float64(p.LogStart), at...)
		gauge(endDesc, float64(p.LogEnd), at...)
		gauge(unappliedDesc, float64(p.Unapplied), at...)
		if p.Leads {
			gauge(followersDesc, float64(p.Behind), at...)
		}
	}
	collectGroups(gauge, v.groups)
}

func collectGroups(gauge func(d *prometheus.Desc, value float64, labels ...string), groups []broker.ConsumerGroupView) {
	count := map[string]int{}
	for i, g := range groups {
		count[g.State]++
		if i >= maxGroups {
			continue
		}
		gauge(membersDesc, float64(g.Members), g.Group)
		gauge(generationDesc, float64(g.Generation), g.Group)
		gauge(groupLagDesc, float64(g.Lag), g.Group)
		gauge(groupUnseenDesc, float64(g.Unknown), g.Group)
	}
	for _, state := range []string{broker.GroupEmpty, broker.GroupStable, broker.GroupRebalancing} {
		gauge(groupsDesc, float64(count[state]), state)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// timedFS measures the syncs of a file system.
type timedFS struct {
	osenv.FS
	syncs prometheus.Observer
}

// Open is osenv.FS.
func (t timedFS) Open(name string, create bool) (osenv.File, error) {
	f, err := t.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return timedFile{f, t.syncs}, nil
}

// SyncFolder is osenv.FS.
func (t timedFS) SyncFolder(name string) error {
	defer observe(t.syncs, time.Now())
	return t.FS.SyncFolder(name)
}

type timedFile struct {
	osenv.File
	syncs prometheus.Observer
}

// Sync is osenv.File.
func (t timedFile) Sync() error {
	defer observe(t.syncs, time.Now())
	return t.File.Sync()
}

func observe(o prometheus.Observer, since time.Time) { o.Observe(time.Since(since).Seconds()) }

// view is what a node says of itself.
type view struct {
	serves        bool
	cluster, node string
	partitions    []broker.PartitionView
	groups        []broker.ConsumerGroupView
}
