"""What pandas says about the CDNOW purchase log: writes tests/vectors/cdnow.json.

usage: make_cdnow.py CDNOW_master.txt > cdnow.json

The log is public (Fader and Hardie); the file comes with the PyPI package Lifetimes 0.11.3.
Columns, divided by white space: customer, date as YYYYMMDD, quantity, amount in dollars.
A cohort is the customers whose first purchase ever fell in that month; they are retained in
month n when they bought anything in the n-th month after it.
"""

import json
import sys

import pandas

log = pandas.read_csv(
    sys.argv[1],
    sep=r"\s+",
    header=0,
    names=["customer", "date", "quantity", "amount"],
    dtype={"date": str},
)
log["month"] = pandas.to_datetime(log["date"], format="%Y%m%d").dt.to_period("M")
first = log.groupby("customer")["month"].min().rename("cohort")
log = log.join(first, on="customer")
log["periods_later"] = (log["month"] - log["cohort"]).map(lambda offset: offset.n)
retained = log.groupby(["cohort", "periods_later"])["customer"].nunique()
months = sorted(log["month"].unique())
json.dump(
    {
        "source": "PyPI Lifetimes 0.11.3, lifetimes/datasets/CDNOW_master.txt",
        "computed_with": f"pandas {pandas.__version__}, make_cdnow.py",
        "purchases": len(log),
        "customers": int(log["customer"].nunique()),
        "quantity": int(log["quantity"].sum()),
        "amount_cents": int((log["amount"] * 100).round().sum()),
        "months": [str(month) for month in months],
        "purchases_by_month": [int((log["month"] == month).sum()) for month in months],
        "customers_by_month": [
            int(log.loc[log["month"] == month, "customer"].nunique()) for month in months
        ],
        "cohorts": [
            {
                "month": str(cohort),
                "size": int((first == cohort).sum()),
                "returned": [
                    int(retained.get((cohort, n), 0)) for n in range(len(months) - position)
                ],
            }
            for position, cohort in enumerate(months)
            if (first == cohort).any()
        ],
    },
    sys.stdout,
    indent=1,
)
print()
