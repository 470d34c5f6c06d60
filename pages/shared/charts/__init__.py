"""Arrays in, plotly figures out; one module a page. No Streamlit, so notebooks can use them."""
