"""The report: ledger, plan and comparison turned into one page that explains itself.

Read ``page.py`` first; ``write_report(study_dir)`` is all that other rooms call.
"""
