"""A collector: takes OTLP over HTTP, decodes it with the official opentelemetry-proto, and prints each request as JSON."""
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

KINDS = {
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
}


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        asked, answer = KINDS[self.path]
        request = asked()
        request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
        # What the official types do not know is kept by them, and is a mistake here.
        assert not MessageToDict(request) == {}, "an empty request"
        told = {
            "path": self.path,
            "type": self.headers["content-type"],
            "key": self.headers["x-key"],
            "body": MessageToDict(request),
            "whole": len(request.SerializeToString(deterministic=True)) == int(self.headers["content-length"]),
        }
        print(json.dumps(told), flush=True)
        body = answer().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
sys.exit(1)
