package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/server"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// leaveTime is how long a node that is asked to stop may take to hand over.
const leaveTime = 5 * time.Second

type serveFlags struct {
	data, listen, advertise string
	init                    bool
	join                    []string
	segmentBytes            uint64
	reserveBytes            int64
	copyRate                int64
	balanceLeaders          bool
	logLevel                string
	monitor                 string
	slow                    time.Duration
	files                   rpc.TLS
	insecure                bool
	clientAuth              string
	auth                    bool
	superUsers              string
	peerSecretFile          string
	firstUser               string
	firstPasswordFile       string
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve --data DIR --listen HOST:PORT (--init | --join HOST:PORT,...)",
		Short: "Run a node",
		Long: `Run a node until it is told to stop (SIGINT or SIGTERM), when it hands the
leadership of its partitions over first. A second signal ends it at once.

The first node of a new cluster takes --init, every further one --join with the
address of any node. A node that has data needs neither: it knows who it is.

With --auth clients have to say who they are, and may do what ACLs allow; see 'reprise
user' and 'reprise acl'. Nodes know each other by --peer-secret-file, or by the
certificates of super users. --first-user makes the user with whom all begins.`,
		Example: `  reprise serve --data n1 --listen 127.0.0.1:9001 --init
  reprise serve --data n2 --listen 127.0.0.1:9002 --join 127.0.0.1:9001`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, f.monitor)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "folder of the node's data, made if it is not there")
	flags.StringVar(&f.listen, "listen", "", "HOST:PORT to take connections at")
	flags.StringVar(&f.advertise, "advertise", "", "HOST:PORT that others are told (default: that of --listen, unless it is for all addresses of this machine)")
	flags.BoolVar(&f.init, "init", false, "found a new cluster, if the folder is empty")
	flags.StringSliceVar(&f.join, "join", nil, "nodes of the cluster to join, if the folder is empty")
	flags.Uint64Var(&f.segmentBytes, "segment-bytes", meta.DefaultSegmentBytes, "with --init: size at which segments roll, where a topic does not say")
	flags.Int64Var(&f.reserveBytes, "reserve-bytes", broker.DefaultConfig().ReserveBytes, "room on the disk below which new records are refused with STORAGE_FULL")
	flags.Int64Var(&f.copyRate, "copy-rate", broker.DefaultConfig().CopyRate, "bytes a second that are copied from other nodes at most, for replicas that are new or damaged; 0 is no bound")
	flags.BoolVar(&f.balanceLeaders, "balance-leaders", true, "even out over the nodes which partitions they are preferred to lead; the node that leads the meta group decides, so give all the same")
	flags.StringVar(&f.files.Cert, "tls-cert", "", "PEM `file` of the node's certificate, for clients and for peers; read again for every connection")
	flags.StringVar(&f.files.Key, "tls-key", "", "PEM `file` of its key")
	flags.StringVar(&f.files.CA, "tls-ca", "", "PEM `file` of a CA: only clients and peers with a certificate of it are let in")
	flags.StringVar(&f.clientAuth, "tls-client-auth", clientAuthRequired, "with --tls-ca: required, or with --auth also requested, which lets clients in that show a password and no certificate")
	flags.BoolVar(&f.insecure, "insecure", false, "listen to other machines without TLS and --auth: whoever reaches the port can read and change everything")
	flags.BoolVar(&f.auth, "auth", false, "let in only clients that show a password or, with --tls-ca, a certificate, and let them do what ACLs allow")
	flags.StringVar(&f.superUsers, "super-users", "", "principals that may do everything, such as \"User:admin;User:CN=node\"")
	flags.StringVar(&f.peerSecretFile, "peer-secret-file", "", "`file` whose first line is what the nodes of the cluster, and nobody else, know; without it --auth takes certificates of super users for nodes")
	flags.StringVar(&f.firstUser, "first-user", "", "user to make while the cluster has none")
	flags.StringVar(&f.firstPasswordFile, "first-password-file", "", "`file` whose first line is the password of --first-user")
	flags.StringVar(&f.monitor, "monitor", "", "HOST:PORT to serve /metrics (Prometheus), /healthz and /readyz at, over HTTP (default: nowhere)")
	flags.DurationVar(&f.slow, "slow", time.Second, "log requests that take so long, beyond what a fetch asked to wait; 0 logs none")
	flags.StringVar(&f.logLevel, "log-level", "info", "least urgent lines to log: debug, info, warn, error")
	cli.Settings(cmd, "REPRISE_")
	return cmd
}

// config checks the flags against each other.
func (f *serveFlags) config(cmd *cobra.Command) (server.Config, error) {
	switch {
	case f.data == "":
		return server.Config{}, cli.Usagef("serve needs --data: the folder to keep the node's data in")
	case f.listen == "":
		return server.Config{}, cli.Usagef("serve needs --listen: the HOST:PORT to take connections at")
	case f.init && len(f.join) > 0:
		return server.Config{}, cli.Usagef("serve takes --init or --join, not both: a node founds a cluster or joins one")
	case !f.init && cmd.Flags().Changed("segment-bytes"):
		return server.Config{}, cli.Usagef("--segment-bytes belongs to --init: the cluster's default is set once, when it is founded")
	case f.slow < 0:
		return server.Config{}, cli.Usagef("--slow %v: it is a time, 0 or more", f.slow)
	case f.reserveBytes < 0:
		return server.Config{}, cli.Usagef("--reserve-bytes %d: it is a number of bytes, 0 or more", f.reserveBytes)
	case f.copyRate < 0 || f.copyRate > broker.MaxCopyRate:
		return server.Config{}, cli.Usagef("--copy-rate %d: it is a number of bytes a second, up to %d; 0 is no bound", f.copyRate, int64(broker.MaxCopyRate))
	}
	for _, address := range slices.Concat([]string{f.listen}, f.join, given(f.advertise), given(f.monitor)) {
		if err := checkAddress(address); err != nil {
			return server.Config{}, err
		}
	}
	credentials, err := f.credentials()
	if err != nil {
		return server.Config{}, err
	}
	if told := cmp.Or(f.advertise, f.listen); unspecified(told) {
		return server.Config{}, cli.Usagef("others would be told to find this node at %s, which is themselves; give --advertise HOST:PORT with the host that they know it by", told)
	}
	log, err := newLog(cmd.ErrOrStderr(), f.logLevel)
	if err != nil {
		return server.Config{}, err
	}
	auth, first, err := f.authentication()
	if err != nil {
		return server.Config{}, err
	}
	node := server.NodeConfig(version)
	node.FirstUser = first
	node.Address = env.Endpoint(f.advertise)
	node.Init, node.SegmentBytes, node.ReserveBytes, node.CopyRate = f.init, f.segmentBytes, f.reserveBytes, f.copyRate
	if !f.balanceLeaders {
		node.SpreadTicks = 0
	}
	for _, address := range f.join {
		node.Join = append(node.Join, env.Endpoint(address))
	}
	return server.Config{Node: node, Data: f.data, Listen: f.listen, Log: log, Slow: f.slow, Credentials: credentials, Auth: auth}, nil
}

// credentials are those of the TLS files. A node without any is for this machine alone,
// unless its operator says otherwise.
func (f *serveFlags) credentials() (rpc.Credentials, error) {
	switch {
	case f.clientAuth == clientAuthRequested && f.auth && f.files.CA != "":
		f.files.Requested = true
	case f.clientAuth != clientAuthRequired:
		return rpc.Credentials{}, cli.Usagef("--tls-client-auth %q is neither required nor, with --auth and --tls-ca, requested", f.clientAuth)
	}
	switch {
	case f.files.Given():
		if f.files.Cert == "" || f.files.Key == "" {
			return rpc.Credentials{}, cli.Usagef("--tls-cert and --tls-key belong together, and a node that has --tls-ca needs them too")
		}
		return f.files.ServerCredentials()
	case f.insecure || f.auth || loopback(f.listen):
		return rpc.Credentials{}, nil
	}
	return rpc.Credentials{}, cli.Usagef("--listen %s: other machines could reach this node in plain text, and do everything; give --tls-cert and --tls-key (and --tls-ca) or --auth, or say --insecure", f.listen)
}

// unspecified reports whether an address is of no machine in particular: it can be listened
// at, and whoever connects to it comes out at itself.
func unspecified(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "" || net.ParseIP(host).IsUnspecified())
}

// loopback reports whether an address is for this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// given is the address of a flag, if it was given.
func given(address string) []string {
	if address == "" {
		return nil
	}
	return []string{address}
}

// serve runs a node until ctx ends or the node fails. One that served, and stopped
// because others left no room on its disk, is started again when there is some.
func serve(ctx context.Context, cfg server.Config, monitor string) error {
	for {
		served, err := live(ctx, cfg, monitor)
		if !served || !errors.Is(err, env.ErrNoSpace) {
			return err
		}
		cfg.Log.Error("the node starts again when there is room", "reserve", cfg.Node.ReserveBytes, "err", err)
		if err := awaitRoom(ctx, cfg); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// roomPause is how long awaitRoom waits before it looks again.
const roomPause = time.Second

// awaitRoom waits until the disk has more room than the node's reserve, or ctx ends.
func awaitRoom(ctx context.Context, cfg server.Config) error {
	look := time.NewTicker(roomPause)
	defer look.Stop()
	for ctx.Err() == nil {
		free, err := osenv.FreeBytes(cfg.Data)
		if err != nil || free > cfg.Node.ReserveBytes {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// live is one life of a node. It reports whether the node came to serve.
func live(ctx context.Context, cfg server.Config, monitor string) (served bool, err error) {
	s, err := server.Start(cfg)
	if err != nil {
		return false, err
	}
	stop, err := watchOver(s, monitor)
	if err != nil {
		s.Kill()
		return false, err
	}
	defer stop()
	cfg.Log.Info("node started", "version", version, "data", cfg.Data, "listen", s.Address())
	select {
	case <-s.Failed():
		s.Kill()
		return s.Served(), stopped(s.Err())
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := s.Shutdown(limit); err != nil {
		cfg.Log.Warn("the node was stopped before another took over", "after", leaveTime)
	}
	return true, nil
}

// watchOver serves what whoever operates the node asks, until stop is called.
func watchOver(s *server.Server, address string) (stop func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--monitor: %w; choose a free port of this machine", err)
	}
	const patience = 10 * time.Second
	web := &http.Server{Handler: s.Handler(), ReadTimeout: patience, WriteTimeout: patience}
	go web.Serve(netutil.LimitListener(l, server.MaxMonitors))
	return web.Close, nil
}

// stopped says why a node has stopped by itself.
func stopped(cause error) error {
	if errors.Is(cause, env.ErrNoSpace) {
		return fmt.Errorf("the node stopped: %w; free some space and start it again: what was acknowledged is there", cause)
	}
	return fmt.Errorf("the node stopped: %w", cause)
}

func newLog(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, cli.Usagef("--log-level %q is none of debug, info, warn, error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil && !strings.ContainsAny(address, " /") {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || !utf8.ValidString(address) {
		return cli.Usagef("%q is no HOST:PORT", address)
	}
	return nil
}
