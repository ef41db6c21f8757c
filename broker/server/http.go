package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/reprise-mq/reprise/broker/rpc"
)

// aliveTime is how long a node may take to say something before it counts as hung.
const aliveTime = 5 * time.Second

// Handler serves what whoever operates the node asks:
//
//	/metrics  Prometheus' metrics
//	/healthz  200 while the node is alive: 503 says to start it again
//	/readyz   200 while the node serves: 503 says to ask others meanwhile
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, s.alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { say(w, s.ready()) })
	return mux
}

func say(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// alive says what is wrong with a node that has stopped, or answers nothing.
func (s *Server) alive() error {
	answered := make(chan bool, 1)
	go func() { answered <- s.driver.Do(func() {}) }()
	select {
	case <-s.node.failed:
		return fmt.Errorf("the node has stopped: %w", s.Err())
	case <-time.After(aliveTime):
		return fmt.Errorf("the node has not answered for %v", aliveTime)
	case running := <-answered:
		if !running {
			return fmt.Errorf("the node has stopped")
		}
		return nil
	}
}

func (s *Server) ready() error {
	if err := s.alive(); err != nil {
		return err
	}
	if !s.Serves() {
		return fmt.Errorf("the node recovers, or waits to join its cluster")
	}
	answered := make(chan error, 1)
	s.driver.Do(func() { s.node.AskMeta(func(err error) { answered <- err }) })
	select {
	case err := <-answered:
		if err == nil {
			return nil
		}
	case <-time.After(aliveTime):
	}
	return fmt.Errorf("the node reaches no leader of the meta group: it was removed, is cut off, or there is none now")
}

// view asks the node what it has.
func (s *Server) view() (v view) {
	s.driver.Do(func() {
		cluster, id := s.node.Identity()
		v.serves, v.cluster, v.node = s.node.Node.Serves(), cluster, strconv.FormatUint(uint64(id), 10)
		if v.serves {
			v.partitions, v.groups = s.node.Partitions(), s.node.ConsumerGroups()
		}
	})
	return v
}

// answered counts a request, and logs it if it was slow.
func (s *Server) answered(a rpc.Answered) {
	s.metrics.answered(a)
	if s.slow > 0 && a.Took-a.Patience >= s.slow {
		s.log.Warn("slow request", "request", a.Kind, "client", a.Client, "id", a.Request, "took", a.Took, "code", a.Code)
	}
}
