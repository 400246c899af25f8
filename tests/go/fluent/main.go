// Sends events from standard input with fluent-logger-golang, one after the other. Each line is {"tag": ..., "time": seconds, "record": {...}}.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

type event struct {
	Tag    string                 `json:"tag"`
	Time   float64                `json:"time"`
	Record map[string]interface{} `json:"record"`
}

func main() {
	host := flag.String("host", "127.0.0.1", "where to send")
	port := flag.Int("port", 24224, "its port")
	ack := flag.Bool("ack", true, "ask for an acknowledgement of each event")
	insecure := flag.Bool("tls", false, "over TLS, whoever the server is")
	flag.Parse()
	config := fluent.Config{
		FluentHost: *host, FluentPort: *port, RequestAck: *ack, SubSecondPrecision: true,
		Timeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, MaxRetry: 10,
	}
	if *insecure {
		config.FluentNetwork, config.TlsInsecureSkipVerify = "tls", true
	}
	logger, err := fluent.New(config)
	if err != nil {
		log.Fatal(err)
	}
	acknowledged := 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var next event
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.UseNumber()
		if err := decoder.Decode(&next); err != nil {
			log.Fatal(err)
		}
		seconds, fraction := math.Modf(next.Time)
		moment := time.Unix(int64(seconds), int64(fraction*1e9))
		if err := logger.PostWithTime(next.Tag, moment, whole(next.Record).(map[string]interface{})); err != nil {
			log.Fatal(err)
		}
		acknowledged++
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := logger.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(acknowledged)
}

// JSON knows one kind of number, applications know two.
func whole(value interface{}) interface{} {
	switch known := value.(type) {
	case json.Number:
		if whole, err := known.Int64(); err == nil {
			return whole
		}
		number, err := known.Float64()
		if err != nil {
			log.Fatal(err)
		}
		return number
	case []interface{}:
		for at, inner := range known {
			known[at] = whole(inner)
		}
	case map[string]interface{}:
		for name, inner := range known {
			known[name] = whole(inner)
		}
	}
	return value
}
