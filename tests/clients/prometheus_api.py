"""Asks a server with prometheus-api-client what people ask, and prints the answers as JSON lines.

Usage: prometheus_api.py URL END, END in seconds since 1970, after the newest sample.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect


def show(name, answer):
    if isinstance(answer, list):
        answer = sorted(answer, key=lambda one: json.dumps(one, sort_keys=True))
    print(name, json.dumps(answer, sort_keys=True))


def main():
    url, end = sys.argv[1], int(sys.argv[2])
    prom = PrometheusConnect(url=url, disable_ssl=True)
    at = datetime.fromtimestamp(end, timezone.utc)
    start = at - timedelta(minutes=10)
    show("all_metrics", prom.all_metrics())
    show("label_names", prom.get_label_names())
    show("label_values", prom.get_label_values("job"))
    show("series", prom.get_series(start=start, end=at) if hasattr(prom, "get_series") else [])
    params = {"time": str(end)}
    for query in ["c_total", "sum by (job) (rate(c_total[5m]))", "odd", "1 + 1", "nobody"]:
        show(query, prom.custom_query(query, params=params))
    show("current", prom.get_current_metric_value("c_total", {"job": "a"}, params=params))
    show("range", prom.custom_query_range("rate(c_total[2m])", start, at, "30s"))
    metric = prom.get_metric_range_data("c_total", {"job": "a"}, start, at)
    show("metric_range", metric)
    frame = MetricRangeDataFrame(metric)
    show("frame", [list(frame.columns), len(frame), float(frame["value"].sum())])
    show(
        "aggregation",
        {
            key: float(value)
            for key, value in prom.get_metric_aggregation(
                "c_total", ["sum", "max", "percentile_95"], start, at, "30"
            ).items()
        },
    )
    try:
        prom.custom_query("sum(", params=params)
    except Exception as error:  # The client wraps whatever the server says.
        show("refused", str(error).replace(url, "URL"))


main()
